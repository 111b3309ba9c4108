"""Programs that other makers' Python runs: each does in its tool what `bench chain` compares.

They import nothing of Phloem, which that Python does not have.
"""

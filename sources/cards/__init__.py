"""What people decided: the model of a card, its lint rules, lock file and approvals."""

"""The generated parts of these pages."""

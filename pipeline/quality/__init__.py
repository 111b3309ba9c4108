"""Classifiers of quality: trained on documents that somebody calls good and bad."""

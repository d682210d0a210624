"""Modality adapters: files to tokens, predictions back to pictures."""

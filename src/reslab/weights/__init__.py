"""Weights from elsewhere: foreign state dicts, the Hugging Face hub, fine-tuning."""

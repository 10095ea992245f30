"""Weights from elsewhere: state dicts, the Hugging Face hub, fine-tuning."""

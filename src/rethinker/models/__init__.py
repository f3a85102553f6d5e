"""Any Hugging Face VLM: load it, turn problems into prompts and images into tensors, run it; and the tiny VLM."""

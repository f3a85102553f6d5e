"""From a response to a verdict: answer extraction, verifiers by kind, the pool that runs them. Torch-free."""

"""Fuzzing of what reads model output, data, settings, requests and run folders."""

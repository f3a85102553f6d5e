"""What holds for every test."""

from hypothesis import settings

# No deadline: how long an example takes is not a property of the code. The same examples on every machine.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

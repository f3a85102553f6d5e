"""More than one process: ranks that hold shards of the learner, engine replicas, and how the driver talks to them.

The driver is `train.py`, unchanged. It sees a `Learner`, a `RolloutEngine` and a `WeightSync` whose work is done
elsewhere; nothing here knows the method.
"""

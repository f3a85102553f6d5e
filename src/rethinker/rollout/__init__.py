"""From problems to groups: engines that sample, the sampler that verifies, and Forced Rethinking."""

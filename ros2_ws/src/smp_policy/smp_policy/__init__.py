"""Skill Mixture-of-Experts Policy: the method, its training, its run time and the policy node."""

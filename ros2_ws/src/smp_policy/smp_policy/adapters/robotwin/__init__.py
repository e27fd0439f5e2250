"""Our models in RoboTwin 2.0's own evaluation, both branches. No ROS, Python 3.10: RoboTwin's interpreter runs it.

convert       what RoboTwin shows, as a Query's parts, and a chunk as its actions
player        a model folder that answers observations
stable        what script/eval_policy.py of branch stable_2.0 calls
xpolicylab    what XPolicyLab's policy server, which branch main asks, calls
checkout      which branch a folder is, and what belongs there
__main__      puts `files` into a checkout, and takes them out again (README.md)
"""

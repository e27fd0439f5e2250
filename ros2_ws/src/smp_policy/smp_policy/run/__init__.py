"""Running a trained policy: its contract, what is fed to it, the backends that compute it. No ROS, no training.

contract       what a model is: joints, rates, cameras, tasks, normaliser, configuration (`fields`: from JSON)
normaliser     radians and metres to the network's numbers and back
policy         Policy.act: one Query to one Chunk, the same live, in evaluation and behind every backend
graphs         the ONNX graphs: names, inputs, metadata and what must agree
backend_onnx   computes a policy with ONNX Runtime; torch need not be there
backend_torch  computes it with torch
open           open_policy(folder): one of the two
chunk          the driver's plan as it is believed: committed rows, latency, braking; rollouts use it too
senses         what was heard: observations (`frozen` cameras among them), the driver, the episode
following      whether the driver may be commanded, and follows
session        state and named reason of a run
pilot          one run after the other, on a clock that is handed in (`runs`: what it says, and to whom)
settings       parameters of the policy node; `table`, `messages`, `rehearse`, `timed`: its smaller parts
rounds         episodes of several tasks, and their count
"""

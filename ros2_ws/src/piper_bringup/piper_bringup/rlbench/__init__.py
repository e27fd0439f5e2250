"""RLBench-2 (PerAct2) in a process of its own: a second worker that speaks the protocol of `robotwin`.

Two Pandas in CoppeliaSim, sixteen numbers where two PiPERs have fourteen: tasks to compare with, not our arms. Written
from the source of markusgrotz/RLBench 8af748c, PyRep b8bd1d7 and peract_bimanual bb0232a, and tested on a fake of
theirs; RLBench's own Python code answered too, on a stand-in for PyRep. NOT RUN AGAINST COPPELIASIM, which is
proprietary: whether a gripper holds what it closes on, how fast drives follow and what is drawn are not known.

    with link(python, root) as worker:
        about = worker.start()
        episode = worker.call("reset", 600.0, task="bimanual_lift_tray", seed=0, joints=about["joints"])
        answer = worker.call("step", 60.0, action=episode["observation"]["measured"], cameras=["front"])

`python` is that of the environment which RLBench, PyRep and msgpack are installed in; COPPELIASIM_ROOT,
LD_LIBRARY_PATH and QT_QPA_PLATFORM_PLUGIN_PATH have to be set as peract_bimanual/INSTALLATION.md says, in a shell
without ROS in its LD_LIBRARY_PATH. There is no ROS bridge: our topics carry two PiPERs.
"""

"""The simulator: joints that follow their drives, 50 ms a step."""

import os

from pyrep.errors import PyRepError

DT_S = 0.05  # pyrep.py:210-226, "Default is 0.05"


class PyRep:
    """One in a process. Prints, also from C."""

    def __init__(self):
        if "COPPELIASIM_ROOT" not in os.environ:  # pyrep.py:39-41
            raise PyRepError("COPPELIASIM_ROOT not defined. See installation instructions.")
        self.joints, self.running, self._launched = [], False, False

    def launch(self, scene_file="", headless=False):
        """pyrep.py:71-92."""
        if len(scene_file) > 0 and not os.path.isfile(os.path.abspath(scene_file)):
            raise PyRepError(f"Scene file does not exist: {scene_file}")
        assert headless, "a window would open"
        self._launched = True
        print("launched")
        os.write(1, b"from C\n")

    def start(self):
        """pyrep.py:169-177."""
        if not self._launched:
            raise PyRepError("CoppeliaSim has not been launched. Call launch first.")
        self.running = True

    def step(self):
        """pyrep.py:191-198: only the window is updated where physics does not run."""
        if self.running:
            for joint in self.joints:
                joint.follow(DT_S)

    def get_simulation_timestep(self):
        """s, as single precision has it."""
        return 0.05000000074505806

    def shutdown(self):
        """pyrep.py:148-167."""
        with open("shutdown", "w") as f:
            f.write("yes")

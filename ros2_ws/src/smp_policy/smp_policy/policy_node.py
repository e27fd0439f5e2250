"""Node `smp_policy`: runs a trained policy on both arms. It only wires; what it does is in run/pilot.py.

    python -m smp_policy.policy_node --ros-args -p model:=models/image

With use_sim_time, all is on /clock, which stands still while a chunk is computed (RoboTwin's bridge).
Configure listens, activate takes orders: action `/run_policy`, topic `/smp/task`. Inference has a thread of its own.
"""

from __future__ import annotations

import threading

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from piper_bringup import parameters
from piper_bringup.arm.clock import Clock
from piper_bringup.data import names
from piper_bringup.spin_node import every, spin
from smp_policy.policy_desk_node import Desk
from smp_policy.policy_link_node import RosLink
from smp_policy.run import messages
from smp_policy.run.admit import admit
from smp_policy.run.contract import ContractError
from smp_policy.run.open import open_backend
from smp_policy.run.pilot import Pilot
from smp_policy.run.session import Level, Why
from smp_policy.run.settings import Settings
from smp_policy.run.table import startup_table

STEP_S, IDLE_S = 0.005, 0.05  # between two looks at the queues, in a run and without one
WATCH_S = 0.1
END_S = 3.0  # for an inference under way to end with the node


class PolicyNode(LifecycleNode):
    """Refuses, in one sentence, to be made with a wrong parameter or a model that does not fit (ValueError)."""

    def __init__(self) -> None:
        super().__init__("smp_policy")
        self._settings = Settings.from_parameters(parameters.load(self, Settings.defaults()))
        self._simulated_time = bool(self.get_parameter("use_sim_time").value)
        if self._simulated_time and self._settings.world == "robot":  # nothing grows old while that time stands still
            raise ValueError("use_sim_time is for a simulator; with world:=robot time is the machine's")
        self._time = Clock(self._sim_ns, self._sim_ns) if self._simulated_time else Clock()
        try:
            self._load()
        except ContractError as error:
            raise ValueError(f"smp_policy: {error}") from error
        self._link: RosLink | None = None
        self._pilot: Pilot | None = None
        self._desk: Desk | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._stepping = threading.Lock()

    # --- lifecycle ------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen, and say what was loaded. Nothing is published that moves anything."""
        if self._link is None:
            self._link = RosLink(self, self._settings, self._time, lambda: self._backend.halves_ms)
            self._diagnostics = self.create_publisher(DiagnosticArray, names.TOPIC_DIAGNOSTICS, 10)
            self._desk = Desk(lambda: self._pilot if self._thread is not None else None, self._reload)
            every(self, WATCH_S, self._watch)
            every(self, 1.0, self._report)
        self._take_up()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take orders; the first may have come as a parameter."""
        self._link.forget_tasks()
        self._pilot.abandon("asked for as the node was deactivated")
        self._stop = threading.Event()  # its own: a thread kept by an inference is not to go on beside this one
        self._thread = threading.Thread(target=self._fly, args=(self._stop,), name="inference", daemon=True)
        self._thread.start()
        if self._settings.task:
            self._pilot.heard_task(self._settings.task)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the run, take no orders."""
        self._end()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to nothing."""
        self._link.disconnect()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As on_deactivate."""
        self._end()
        return TransitionCallbackReturn.SUCCESS

    def finish(self) -> int:
        """End the run; the arms come to rest and hold."""
        self._end()
        if self._desk is not None:
            self._desk.close()
            self._desk.destroy_node()
        return 0

    def _end(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join(END_S)
            if thread.is_alive():  # kept by an inference; who waits for the run is not to wait for that
                self._pilot.abandon("the policy node ends")

    # --- the model ------------------------------------------------------------------------------------------

    def _sim_ns(self) -> int:
        """/clock."""
        return self.get_clock().now().nanoseconds

    def _load(self) -> None:
        """From the model's folder; what was loaded before stays where this raises ContractError."""
        self._backend, self._policy, self._took_ns = admit(self._settings, open_backend)

    def _take_up(self) -> None:
        """Fly with the model that was loaded."""
        first_ns = 0 if self._simulated_time else self._took_ns  # time stands still while we think
        pilot = Pilot(self._policy, self._settings, self._link, self._time, first_ns, self._simulated_time)
        self._link.connect(pilot, self._policy.contract)
        self._pilot = pilot
        self.get_logger().info("\n" + startup_table(self._policy.contract, self._settings, self._took_ns))

    def _reload(self) -> tuple[bool, str]:
        if self._pilot is None or self._pilot.run is not None:
            return False, "not while a run goes on: cancel it first" if self._pilot else "configure the node first"
        try:
            with self._stepping:
                self._load()
                before = self._pilot
                self._take_up()
                before.abandon("another model was loaded")  # a run that was asked for meanwhile
        except ContractError as error:
            return False, f"{error}; going on with the model loaded before"
        return True, f"{self._settings.model} loaded"

    # --- threads --------------------------------------------------------------------------------------------

    def _fly(self, stop: threading.Event) -> None:
        """The thread of inference."""
        goes_on = False
        while not stop.wait(STEP_S if goes_on else IDLE_S):
            try:
                with self._stepping:
                    goes_on = self._pilot.step()
            except Exception as error:  # a run ends by its name; the node takes the next one
                self._link.say(Level.WARN, Why.POLICY_ERROR, f"{type(error).__name__}: {error}")
                self._pilot.abandon(f"{type(error).__name__}: {error}", Why.POLICY_ERROR)
        if stop is self._stop:  # else another thread flies by now
            self._pilot.abandon("the policy node ends")

    def _watch(self) -> None:
        self._pilot.watch()

    def _report(self) -> None:
        self._diagnostics.publish(messages.diagnostics(self._pilot, self.get_name(), self._time.wall_ns()))


def main() -> None:
    """Run until Ctrl-C; the arms come to rest and hold."""
    spin(PolicyNode)


if __name__ == "__main__":
    main()

# make sim [HOLD=1] [ARGS="..."]   the whole stack in simulation; make test; see README.md.
SHELL := /bin/bash
activate := . .venv/bin/activate && . ros2_ws/install/setup.bash
lint := ruff check .

.DEFAULT_GOAL := sim
.PHONY: setup build sim test lint bench clean

# Both cost a fraction of a second when nothing changed.
setup build:
	@setup/bootstrap

sim: setup
	@$(activate) && exec python -m piper_bringup.run $(if $(HOLD),--hold) $(ARGS)

# Tests of living nodes run when all others are through, two at a time, for they mostly wait, each in a ROS domain of its
# worker (conftest.py), with other tries for what the machine does, and in worker processes that may die: Fast DDS 2.14
# can crash while one participant leaves as another one does (spin_node.leave).
test: setup
	@$(activate) && export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST \
	&& $(lint) $(if $(ARGS),&& exec python -m pytest $(ARGS),\
	&& python -m pytest -n auto --dist worksteal -m "not live" && exec python -m pytest -n 2 --dist loadfile --reruns 3 --reruns-delay 2 -m live)

lint: setup
	@$(activate) && $(lint)

bench: setup
	@$(activate) && exec python -m bench $(ARGS)

clean:
	rm -rf .venv ros2_ws/build ros2_ws/install ros2_ws/log .pytest_cache .hypothesis .ruff_cache

#!/usr/bin/env bash
# Sources what the image was built with, then becomes the command.
set -e
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -f /opt/ros/jazzy/setup.bash ]; then
    . /opt/ros/jazzy/setup.bash
fi
. .venv/bin/activate
. ros2_ws/install/setup.bash
exec "$@"

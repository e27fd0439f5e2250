from glob import glob

from setuptools import find_packages, setup

NAME = "piper_bringup"

setup(
    name=NAME,
    version="0.1.0",
    description="Two PiPER arms, or a simulated cell below the CAN wire, as ROS 2 nodes.",
    maintainer="SMP PiPER maintainers",
    maintainer_email="maintainers@example.org",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/config", sorted(glob("config/*.yaml") + glob("config/*.xml"))),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            f"driver_node = {NAME}.arm.driver_node:main",
            f"robotwin_bridge_node = {NAME}.robotwin.bridge_node:main",
            f"robotwin_realtime_node = {NAME}.robotwin.realtime_node:main",
            f"evaluate_node = {NAME}.robotwin.evaluate_node:main",
            f"cell_node = {NAME}.cell.cell_node:main",
            f"cameras_node = {NAME}.record.cameras_node:main",
            f"recorder_node = {NAME}.record.recorder_node:main",
            f"teleop_node = {NAME}.record.teleop_node:main",
            f"commander_node = {NAME}.commander_node:main",
            f"monitor_node = {NAME}.seen.monitor_node:main",
            f"viz_node = {NAME}.look.viz_node:main",
            f"piper_emulator = {NAME}.can.emulator:main",
        ],
        "can.interface": [f"smp_vcan = {NAME}.can.vcan:VcanBus"],
    },
)

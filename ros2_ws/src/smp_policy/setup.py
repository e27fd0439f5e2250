from glob import glob

from setuptools import find_packages, setup

NAME = "smp_policy"

setup(
    name=NAME,
    version="0.1.0",
    description="Skill Mixture-of-Experts Policy and its launch files.",
    maintainer="SMP PiPER maintainers",
    maintainer_email="maintainers@example.org",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    package_data={f"{NAME}.adapters.robotwin": ["README.md", "files/**/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{NAME}/config", sorted(glob("config/*.yaml"))),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            f"policy_node = {NAME}.policy_node:main",
            f"episodes_node = {NAME}.episodes_node:main",
        ],
    },
)

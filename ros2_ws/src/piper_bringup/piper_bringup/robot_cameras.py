"""Who publishes the robot's cameras: ROS's camera nodes where they are installed, else ours for USB, or somebody else.

Topics are the same whoever it is: /cam_*/image_raw, with camera_info beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from piper_bringup.data import names, topics
from piper_bringup.options import OptionError, Options
from piper_bringup.process import Process, program
from piper_bringup.record import devices
from piper_bringup.record.cameras import FILE, NODE, Camera, read, unnamed
from piper_bringup.record.capture import SELECT_TIMEOUT

REALSENSE, USB_CAM = "realsense2_camera", "usb_cam"
_EXECUTABLES = {REALSENSE: "realsense2_camera_node", USB_CAM: "usb_cam_node_exe"}
_COLOR = "~/color/image_raw"
_EXPOSURE_UNIT_S = 100e-6  # of RealSense colour sensors and of V4L2
_LEAVE_ALONE = dict.fromkeys(("brightness", "contrast", "saturation", "sharpness", "gain", "focus"), -1)
Installed = Callable[[str], bool]


def installed(package: str) -> bool:
    """Whether one of ROS's camera nodes is there."""
    return program(package, _EXECUTABLES[package]) is not None


def described(options: Options, config: Path) -> tuple[Camera, ...]:
    """The cameras that this deployment has; none in simulation, where the cell draws. Raises OptionError."""
    if options.simulated:
        return ()
    try:
        cameras = read(config / FILE)
    except ValueError as error:
        raise OptionError(str(error)) from error
    of = {"realsense": "serial", "usb": "device"}.get(options.cameras)
    if of is not None and (wrong := unnamed(cameras, of)):
        raise OptionError(f"cameras is {options.cameras}, and {wrong}; {config / FILE} is where cameras are named")
    return cameras


def check(options: Options, cameras: tuple[Camera, ...]) -> str:
    """What was found plugged in, in a sentence, or none. Raises OptionError: a camera is missing."""
    if options.simulated or options.cameras == "external":
        return ""
    if options.cameras == "usb":
        wrong = devices.missing_devices(cameras)
    else:
        found = devices.realsense_serials()
        if found is None:
            return "cameras: rs-enumerate-devices is not installed; a missing RealSense is named once the graph runs"
        wrong = devices.missing_serials(cameras, found)
    if wrong:
        raise OptionError(wrong)
    return f"cameras: {', '.join(camera.name for camera in cameras)} plugged in"


def processes(
    options: Options, cameras: tuple[Camera, ...], environment: dict[str, str], has: Installed
) -> tuple[Process, ...]:
    """Of the cameras. Raises OptionError where RealSense is wanted and its node is not installed."""
    if options.simulated or options.cameras == "external":
        return ()
    if options.cameras == "realsense":
        if not has(REALSENSE):
            raise OptionError(
                f"cameras is realsense, and package {REALSENSE} is not found: apt install "
                "ros-jazzy-realsense2-camera, or start its nodes elsewhere and say cameras external"
            )
        return tuple(_realsense(camera, environment) for camera in cameras)
    if has(USB_CAM):
        return tuple(_usb_cam(camera, environment) for camera in cameras)
    return (_ours(environment),)


def _ours(environment: dict[str, str]) -> Process:
    return Process(
        name=NODE,
        executable="cameras_node",
        module="piper_bringup.record.cameras_node",
        params_file=FILE,
        environment=environment | SELECT_TIMEOUT,
        required=False,
    )


def _realsense(camera: Camera, environment: dict[str, str]) -> Process:
    profile = f"{camera.width_px}x{camera.height_px}x{camera.rate_hz:.0f}"
    manual = {  # a D405 has its colour in the depth module, which counts in microseconds
        "rgb_camera.enable_auto_exposure": False,
        "rgb_camera.exposure": round(camera.exposure_s / _EXPOSURE_UNIT_S),
        "depth_module.enable_auto_exposure": False,
        "depth_module.exposure": round(camera.exposure_s * 1e6),
    }
    return _camera(
        camera,
        REALSENSE,
        {
            "camera_name": camera.node,
            "serial_no": camera.serial,
            "rgb_camera.color_profile": profile,
            "depth_module.color_profile": profile,
            "rgb_camera.color_format": "RGB8",
            "enable_color": True,
            "enable_depth": False,
            "enable_infra1": False,
            "enable_infra2": False,
            **(manual if camera.exposure_s else {}),
        },
        environment,
        {
            _COLOR: names.image_topic(camera.name),
            # image_transport builds this name before it looks at remappings.
            _COLOR + topics.COMPRESSED: topics.compressed_topic(camera.name),
            "~/color/camera_info": names.camera_info_topic(camera.name),
        },
    )


def _usb_cam(camera: Camera, environment: dict[str, str]) -> Process:
    return _camera(
        camera,
        USB_CAM,
        {
            "video_device": camera.device,
            "frame_id": names.camera_frame(camera.name),
            "camera_name": camera.node,
            "camera_info_url": Path(camera.calibration).expanduser().absolute().as_uri() if camera.calibration else "",
            "pixel_format": "mjpeg2rgb",  # raw pictures of three cameras are more than one USB 2 bus carries
            "image_width": camera.width_px,
            "image_height": camera.height_px,
            "framerate": camera.rate_hz,
            "autoexposure": camera.exposure_s == 0.0,
            **({"exposure": round(camera.exposure_s / _EXPOSURE_UNIT_S)} if camera.exposure_s else {}),
            **_LEAVE_ALONE,
        },
        environment,
        {},  # it has topics of our names, in its namespace
    )


def _camera(
    camera: Camera, package: str, parameters: dict[str, object], environment: dict[str, str], remaps: dict[str, str]
) -> Process:
    """One node of ROS's; it ends when its camera is unplugged, and looks for it when started again."""
    return Process(
        name=camera.node,
        executable=_EXECUTABLES[package],
        module="",
        package=package,
        namespace=f"/{camera.node}",
        parameters=parameters,
        environment=environment,
        remaps=remaps,
        required=False,
        respawn=True,
    )

"""Node `cameras`: the robot's USB cameras through OpenCV, where ROS's usb_cam is not installed.

    python -m piper_bringup.record.cameras_node --ros-args --params-file .../config/cameras.yaml

A camera that is missing at start ends the node with its name. One that is lost later is named and tried again; its
topic is silent meanwhile.
"""

from __future__ import annotations

import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from piper_bringup import image_message, parameters
from piper_bringup.arm.clock import Clock
from piper_bringup.data import names
from piper_bringup.record.calibration import info_of
from piper_bringup.record.cameras import DEFAULTS, NODE, Camera, cameras_of
from piper_bringup.record.capture import CameraError, Picture
from piper_bringup.record.reader import Reader
from piper_bringup.spin_node import every, spin

LOOK_S = 0.2
IMAGE_QOS = QoSProfile(depth=2)


class CamerasNode(Node):
    """Refuses, in one sentence, to be made without every camera that is used (ValueError)."""

    def __init__(self) -> None:
        super().__init__(NODE)
        cv2.setNumThreads(1)  # three cameras decode at once: one thread each is enough
        cameras = cameras_of(parameters.load(self, DEFAULTS))
        self._clocks = Clock()
        self._infos = {camera.name: info_of(camera) for camera in cameras}
        self._senders = {camera.name: self._topics_of(camera) for camera in cameras}
        self._diagnostics = self.create_publisher(DiagnosticArray, names.TOPIC_DIAGNOSTICS, 10)
        self._readers = self._open(cameras)
        self._said = dict.fromkeys(self._senders, "")
        self._counted = dict.fromkeys(self._senders, 0)
        for reader in self._readers:
            reader.start()
        every(self, LOOK_S, self._look)
        every(self, 1.0, self._report)
        self.get_logger().info("\n" + "\n".join(_line(camera) for camera in cameras))

    def finish(self) -> int:
        """Let go of every camera."""
        for reader in self._readers:
            reader.stop()
        return 0

    def _topics_of(self, camera: Camera) -> tuple:
        image_topic, info_topic = names.image_topic(camera.name), names.camera_info_topic(camera.name)
        return (
            self.create_publisher(Image, image_topic, IMAGE_QOS),
            self.create_publisher(CameraInfo, info_topic, IMAGE_QOS),
        )

    def _open(self, cameras: tuple[Camera, ...]) -> list[Reader]:
        """All of them, or ValueError with what is wrong with each."""
        readers, wrong = [], []
        for camera in cameras:
            try:
                readers.append(Reader(camera, self._deliver, self._clocks))
            except CameraError as error:
                wrong.append(str(error))
        if wrong:
            for reader in readers:
                reader.stop()
            raise ValueError("; ".join(wrong))
        return readers

    def _deliver(self, camera: Camera, picture: Picture) -> None:
        """On the camera's own thread."""
        (images, infos), info = self._senders[camera.name], self._infos[camera.name]
        message = image_message.image(camera.name, picture.stamp_ns, picture.bgr, "bgr8")
        info.header.stamp = message.header.stamp
        images.publish(message)
        infos.publish(info)

    def _look(self) -> None:
        """Say at once what went wrong with a camera, and what went right again."""
        for reader in self._readers:
            name, trouble = reader.camera.name, reader.trouble()
            before, self._said[name] = self._said[name], trouble
            if trouble and not before:  # rclpy refuses one call with changing severity
                self.get_logger().error(f"{trouble}; its topic is silent, trying again")
            elif before and not trouble:
                self.get_logger().info(f"camera {name} is back")

    def _report(self) -> None:
        message = DiagnosticArray(status=[self._status(reader) for reader in self._readers])
        message.header.stamp = image_message.time_of(self._clocks.wall_ns())
        self._diagnostics.publish(message)

    def _status(self, reader: Reader) -> DiagnosticStatus:
        name, trouble = reader.camera.name, reader.trouble()
        before, self._counted[name] = self._counted[name], reader.pictures
        status = DiagnosticStatus(name=f"cameras: {name}", hardware_id=reader.camera.device)
        status.level = DiagnosticStatus.ERROR if trouble else DiagnosticStatus.OK
        status.message = trouble or "pictures come"
        values = {"hz": reader.pictures - before, "pictures": reader.pictures, "losses": reader.losses}
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        return status


def _line(camera: Camera) -> str:
    exposure = f"{camera.exposure_s:g} s" if camera.exposure_s else "automatic"
    asked = f"{camera.width_px}x{camera.height_px} px at {camera.rate_hz:g} Hz, exposure {exposure}"
    known = camera.calibration or "not calibrated"
    return f"  {names.image_topic(camera.name)}  {camera.device}, {asked}; {known}"


def main() -> None:
    """Run until Ctrl-C."""
    spin(CamerasNode)


if __name__ == "__main__":
    main()

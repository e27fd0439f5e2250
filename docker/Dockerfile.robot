# The robot's PC: apt ROS 2 Jazzy, CUDA libraries, both arms on the host's CAN interfaces.
#     docker compose -f docker/compose.yaml build robot
FROM nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04 AS cuda

FROM ros:jazzy-ros-base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# CUDA and cuDNN libraries; the driver comes from the host through the NVIDIA container toolkit.
COPY --from=cuda /usr/local/cuda-12.9 /usr/local/cuda
COPY --from=cuda /usr/lib/x86_64-linux-gnu/libcudnn*.so.9* /usr/local/cuda/lib64/
RUN echo /usr/local/cuda/lib64 >/etc/ld.so.conf.d/cuda.conf && ldconfig
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics
# No driver answers while the image is built.
ENV SMP_ONNXRUNTIME=gpu

# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
    can-utils cmake g++ iproute2 libegl1 libgl1 libopengl0 make \
    python3-dev python3-numpy python3-opencv python3-venv \
    ros-jazzy-cv-bridge ros-jazzy-rosbag2 ros-jazzy-rosbag2-storage-mcap \
    ros-jazzy-realsense2-camera ros-jazzy-usb-cam v4l-utils \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/smp
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip . /opt/ros/jazzy/setup.bash && setup/bootstrap

ENTRYPOINT ["docker/entrypoint.sh"]
CMD ["ros2", "launch", "smp_policy", "piper_real.launch.py"]

"""Which shader draws."""

chosen = []


def set_camera_shader_dir(name):
    """As sapien has it."""
    chosen.append(name)

"""The policy node's start-up table: which model, what it listens to, what it says, and the limits it keeps."""

from __future__ import annotations

from piper_bringup.data import names, topics
from smp_policy.run.contract import Contract
from smp_policy.run.settings import Settings

TOPIC_DRY = names.TOPIC_ACTION_CHUNK_DRY
ACTION, RELOAD = names.ACTION_RUN_POLICY, "/smp/reload_policy"


def chunk_topic(settings: Settings) -> str:
    """Where chunks go."""
    return TOPIC_DRY if settings.dry_run else names.TOPIC_ACTION_CHUNK


def startup_table(contract: Contract, settings: Settings, took_ns: int) -> str:
    """Aligned lines, one fact each. took_ns: for one chunk, rehearsed."""
    config, limits = contract.config, settings.limits
    heard = [f"{names.TOPIC_JOINT_STATES} 100 Hz"]
    heard += [f"{names.image_topic(camera)}, or {topics.COMPRESSED[1:]}" for camera in contract.cameras]
    heard += [f"{topics.TOPIC_OBJECTS} (ground truth of the simulated cell)"] * contract.needs_objects
    dry = " (dry run: the driver does not listen)" if settings.dry_run else ""
    said = f"{config.rows} rows of {contract.dt_ns / 1e6:.0f} ms, {settings.rate_hz:g} Hz while a run goes on"
    ages = f"joints {limits.joints_ns / 1e6:.0f} ms, cameras {limits.camera_ns / 1e6:.0f} ms"
    rows = [
        ("model", f"{settings.model}, trained in {contract.trained_in}; {settings.backend} on {settings.device}"),
        ("contract", f"{len(contract.joints)} joints, {config.experts} experts, {seen(contract)}"),
        ("tasks", ", ".join(contract.tasks)),
        *(("in", topic) for topic in heard),
        ("out", f"{chunk_topic(settings)}  {said}{dry}"),
        ("", f"{names.TOPIC_SKILL_STATE} beside it"),
        ("asked by", f"action {ACTION}, topic {names.TOPIC_TASK}; service {RELOAD}"),
        ("observation", f"not older than {ages}, {limits.skew_ns / 1e6:.0f} ms between cameras"),
        ("chunk", f"{took_ns * 1e-6:.1f} ms, not sent when older than {settings.timeouts__chunk_age_s:g} s"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {what}" for name, what in rows)


def seen(contract: Contract) -> str:
    """What a model is shown, in words."""
    sees = [f"camera {camera}" for camera in contract.cameras]
    sees += [f"{contract.config.encoder.slots} objects"] * contract.needs_objects
    return f"sees joints, {', '.join(sees)}" if sees else "sees joints alone"

"""How requests are gathered: the dynamic batcher with its priorities and queues, and instances."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..config import messages
from .finding import Finding, Meant, noted, refused


def schedule(config: Any) -> Iterator[Finding]:
    """Dynamic batching, response cache, metrics."""
    if config.HasField("dynamic_batching"):
        yield from _dynamic(config)
    cached = config.response_cache.enable
    if cached and config.HasField("sequence_batching"):
        yield refused(
            f"Response Cache does not currently support model {config.name} with sequence batching "
            "scheduler. Please disable the response cache.",
            "remove response_cache",
        )
    if cached and config.model_transaction_policy.decoupled:
        yield refused(
            f"Response Cache does not currently support model {config.name} with 'decoupled' "
            "transaction policy. Please disable the response cache.",
            "remove response_cache",
        )
    for one in config.model_metrics.metric_control:
        yield from _metric(one)


def _dynamic(config: Any) -> Iterator[Finding]:
    name, batching = config.name, config.dynamic_batching
    yield from preferred_sizes(
        batching.preferred_batch_size, "dynamic batching preferred size", config
    )
    levels = batching.priority_levels
    if levels and not 1 <= batching.default_priority_level <= levels:
        yield refused(
            f"default priority level must be in range [1, {levels}] for {name}",
            f"default_priority_level is {batching.default_priority_level}",
        )
    for level in sorted(batching.priority_queue_policy):
        if levels and not 1 <= level <= levels:
            yield refused(
                f"priority queue policy must have priority level in range [1, {levels}] for {name}",
                f"its key is {level}",
            )
        if not levels:
            yield noted(
                f"priority_queue_policy of level {level} has no effect without priority_levels",
                "give priority_levels, or use default_queue_policy",
            )
    if not batching.preserve_ordering:
        return
    if levels > 1:
        yield refused(
            f"Only one priority level is allowed when 'preserve_ordering' is true for {name}",
            "remove preserve_ordering, or the priorities",
        )
    delay = messages().ModelQueuePolicy.DELAY
    policies = (batching.default_queue_policy, *batching.priority_queue_policy.values())
    if any(p.default_timeout_microseconds and p.timeout_action == delay for p in policies):
        yield refused(
            "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true "
            f"for {name}",
            "use timeout_action: REJECT, or remove preserve_ordering",
        )


def preferred_sizes(sizes: Any, what: str, config: Any) -> Iterator[Finding]:
    """Sizes that a batcher sends off at once: batches that the model takes."""
    for size in sizes:
        if size <= 0:
            yield refused(
                f"{what} must be positive for {config.name}",
                f"it is {size}; remove it: without any, the largest batch is preferred",
            )
        elif size > config.max_batch_size:
            yield refused(
                f"{what} must be <= max batch size for {config.name}",
                f"{size} is above {config.max_batch_size}: lower it, or raise max_batch_size",
            )


def _metric(one: Any) -> Iterator[Finding]:
    if not one.HasField("metric_identifier"):
        yield refused("metric control must specify 'metric_identifier'")
    elif not one.metric_identifier.family:
        yield refused("metric identifier must specify non-empty 'family'")
    if not one.HasField("histogram_options"):
        yield refused("metric control must specify 'histogram_options'")
    elif not one.histogram_options.buckets:
        yield refused("histogram options must specify non-empty 'buckets'")


def instances(config: Any, meant: Meant) -> Iterator[Finding]:
    """Instance groups: kinds, GPUs, counts, profiles, what the rate limiter is told."""
    for i, group in enumerate(config.instance_group):
        who = f"instance group {group.name or f'{config.name}_{i}'} of model {config.name}"
        yield from _kind(group, who, meant)
        yield from _profiles(config, group, who)
        if group.count < 0:
            yield noted(f"{who} has a count of {group.count}, which is taken for 1", "give 1")
    if config.instance_group and all(group.passive for group in config.instance_group):
        yield noted(
            f"all instances of {config.name} are passive: nothing would execute a request",
            "add a group that is not passive",
        )
    yield from _resources(config)


def _kind(group: Any, who: str, meant: Meant) -> Iterator[Finding]:
    kinds = messages().ModelInstanceGroup
    if group.kind not in kinds.Kind.values():
        # The server calls every number that it doesn't know so.
        yield refused(f"{who} has unexpected kind KIND_AUTO", f"{group.kind} is no kind")
        return
    if group.kind in (kinds.KIND_CPU, kinds.KIND_MODEL) and group.gpus:
        yield refused(
            f"{who} has kind {kinds.Kind.Name(group.kind)} but specifies one or more GPUs",
            "remove 'gpus', or use KIND_GPU",
        )
        return
    needs = max(0, *group.gpus) + 1 if group.gpus else 1
    if group.kind == kinds.KIND_GPU:
        if meant.gpus is None:
            yield noted(
                f"{who} has kind KIND_GPU: a server needs {_gpus(needs)} for it",
                "check with gpus=N to hold it against a server's number",
            )
        elif meant.gpus == 0 and not group.gpus:
            yield refused(
                f"{who} has kind KIND_GPU but no GPUs are available", "use KIND_CPU or KIND_AUTO"
            )
        else:
            for number in group.gpus:
                if not 0 <= number < meant.gpus:
                    yield refused(
                        f"{who} specifies invalid or unsupported gpu id {number}",
                        f"the server has {_gpus(meant.gpus)}, counted from 0",
                    )
    elif group.kind == kinds.KIND_AUTO and group.gpus and (meant.gpus or 0) < needs:
        # The core makes it KIND_CPU and keeps the list, which KIND_CPU may not have.
        message = f"{who} has kind KIND_CPU but specifies one or more GPUs"
        if meant.gpus is None:
            yield noted(
                f"where the server has fewer than {_gpus(needs)}: {message}", "remove 'gpus'"
            )
        else:
            yield refused(message, "KIND_AUTO becomes KIND_CPU here: remove 'gpus'")


def _gpus(count: int) -> str:
    return f"{count} GPU{'' if count == 1 else 's'}"


def _profiles(config: Any, group: Any, who: str) -> Iterator[Finding]:
    if not group.profile:
        return
    if config.platform != "tensorrt_plan":
        # Triton's own words lack the blank.
        yield refused(
            f"{who} and platform {config.platform}specifies profile field which is only supported "
            "for TensorRT models",
            "remove 'profile'",
        )
        return
    for profile in group.profile:
        digits = profile.strip().lstrip("+-")
        if not profile:
            yield refused("profile name must not be empty", 'write the profile\'s number: "0"')
        elif not digits[:1].isdigit():
            yield refused(f"unable to parse '{profile}': stoi", "write the profile's number")
        elif profile.strip().startswith("-") and int("".join(_leading(digits))) > 0:
            yield refused(
                f"{who} and platform {config.platform} specifies invalid profile {profile}. The "
                "field should contain the string representation of a non-negative integer.",
                "write the profile's number",
            )


def _leading(text: str) -> Iterator[str]:
    for one in text:
        if not one.isdigit():
            return
        yield one


def _resources(config: Any) -> Iterator[Finding]:
    shared: set[str] = set()
    own: set[str] = set()
    for group in config.instance_group:
        for resource in group.rate_limiter.resources:
            (shared if getattr(resource, "global") else own).add(resource.name)
    for name in sorted(shared & own):
        yield noted(
            f'Resource "{name}" is present as both global and device-specific resource in the '
            "model configuration.",
            "a server with --rate-limit=execution_count refuses it: make it one of them",
        )


def runtime(config: Any, folder: Path) -> Iterator[Finding]:
    """Which library is asked for, and where it would have to be."""
    if config.runtime and config.backend and config.runtime != "model.py":
        usual = f"libtriton_{config.backend}.so"
        places = [folder, *(p for p in folder.iterdir() if p.is_dir())] if folder.is_dir() else []
        if config.runtime == usual or any((p / config.runtime).is_file() for p in places):
            return
        message = f"unable to find backend library '{config.runtime}' for model '{config.name}'"
        remedy = f"remove 'runtime', or write {usual} or model.py"
        if config.runtime.startswith("lib") and config.runtime.endswith(".so"):
            remedy = f"put it into the server's backend directory, or {remedy}"
            yield noted(message, remedy)
        else:
            yield refused(message, remedy)
    strategy = config.parameters.get("TRITON_BATCH_STRATEGY_PATH")
    if strategy is not None:
        if config.HasField("sequence_batching"):
            yield refused(
                "TRITON_BATCH_STRATEGY_PATH cannot be specified with sequence batcher, using "
                "default batching strategy",
                "remove the parameter",
            )
        elif not Path(strategy.string_value).is_file():
            yield noted(
                f"Batching library path not found: {strategy.string_value}",
                "it must be there on the server",
            )


def agents(config: Any) -> Iterator[Finding]:
    """Programs that a server runs on the model's folder before it looks at it."""
    for agent in config.model_repository_agents.agents:
        message = (
            f"unable to find 'libtritonrepoagent_{agent.name}.so' for repo agent '{agent.name}', "
            "searched: /opt/tritonserver/repoagents"
        )
        if agent.name == "checksum":
            yield noted(message, "servers of NVIDIA's containers have it, others may not")
        else:
            yield refused(
                message,
                "servers of NVIDIA's containers have 'checksum' only: install it, and check what "
                "the agent makes of the folder",
            )

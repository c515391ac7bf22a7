"""A plan as JSON: the same bytes for the same inputs, with a JSON Schema made from these classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from orchestrator.api.backend import Refusal
from orchestrator.api.invocation import Invocation
from orchestrator.config.credentials import hide_userinfo
from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.plan.affected import Since
from orchestrator.plan.estimate import Estimate
from orchestrator.plan.image import PlatformTest
from orchestrator.plan.lower import Lowered
from orchestrator.plan.masked import masked_argv, masked_command
from orchestrator.plan.model import (
    FORMAT_VERSION,
    Plan,
    PlannedImage,
    PlatformBuild,
    PromoteStep,
    Reason,
    SolveStep,
    Step,
)
from orchestrator.plan.volatile import kept_by_image

SCHEMA_ID: Final = "https://orchestrate-builds.dev/schema/plan-1.0.json"


class TagDocument(Model):
    """A public tag."""

    ref: Annotated[str, Meta(description="The reference; without a registry only `name:tag`.")]
    moving: Annotated[bool, Meta(description="Whether it may be moved from one digest to another.")]
    current: Annotated[str | None, Meta(description="The digest that it points at now, as far as is known.")]


class EdgeDocument(Model):
    """What an image needs, and where that is written."""

    image: str
    kind: Annotated[str, Meta(description="`contexts`, `needs`, `FROM`, `COPY --from` or `RUN --mount`.")]
    place: Annotated[str | None, Meta(description="`file:line:column`.")]


class TestDocument(Model):
    """A command that must succeed in the image."""

    run: tuple[str, ...]
    platforms: tuple[str, ...]


class ImageDocument(Model):
    """One image."""

    name: str
    repository: str | None
    action: str
    wave: int
    platforms: tuple[str, ...]
    publish: bool
    version: str | None
    tags: tuple[TagDocument, ...]
    edges: tuple[EdgeDocument, ...]
    test: TestDocument | None
    digest: Annotated[str | None, Meta(description="The index that stands already, of all its platforms.")]
    keeps: Annotated[
        tuple[str, ...], Meta(description="Volatile args and labels that keep the values of an earlier build.")
    ]


class ReasonDocument(Model):
    """Why; `code` is from a closed list."""

    code: str
    message: str
    items: Annotated[tuple[str, ...], Meta(description="All that the message is about: paths, names, digests.")]


class PlacementDocument(Model):
    """Where a platform build runs."""

    backend: str
    node: str
    mode: Literal["native", "emulated"]
    others: Annotated[tuple[str, ...], Meta(description="Nodes that do the same, and take it where they are free.")]
    provisional: Annotated[bool, Meta(description="No engine was asked; this is what the configuration says.")]


class BuildDocument(Model):
    """One platform build."""

    id: Annotated[str, Meta(description="`image@platform`.")]
    image: str
    platform: str
    wave: int
    needs: tuple[str, ...]
    action: str
    reasons: tuple[ReasonDocument, ...]
    placement: PlacementDocument | None
    input: Annotated[str | None, Meta(description="The input digest; null where something of it is not known.")]


class StepDocument(Model):
    """One step. `argv` has a list of words for each child.

    What only the run can know stands in angle brackets, `***` for what looks like a credential.
    """

    id: str
    kind: str
    image: str
    needs: tuple[str, ...]
    argv: tuple[tuple[str, ...], ...] = ()
    environment: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    because: str = ""
    refusal: str = ""


class DiagnosticDocument(Model):
    """A finding."""

    code: str
    severity: Literal["error", "warning"]
    message: str
    file: str | None
    line: int | None
    column: int | None
    subject: str | None
    hints: tuple[str, ...]


class SummaryDocument(Model):
    """Counts."""

    images: int
    builds: int
    build: int
    blocked: int
    emulated: int
    tags: int
    moving_tags: int
    waves: int
    errors: int
    warnings: int


class EstimateDocument(Model):
    """How long it takes, from the durations of earlier builds."""

    seconds: Annotated[float | None, Meta(description="Null where no duration is known of any of its builds.")]
    critical_path: Annotated[tuple[str, ...], Meta(description="Ids of builds, parents first.")]
    critical_seconds: Annotated[float, Meta(description="How long those take alone.")]
    builds: Annotated[int, Meta(description="The platform builds to do.")]
    unknown: Annotated[int, Meta(description="Those without a duration; they count as the median of the others.")]


class AffectedDocument(Model):
    """An image that is affected."""

    image: str
    reasons: tuple[ReasonDocument, ...]


class SinceDocument(Model):
    """What `--since` found; images that are not selected are in it, too."""

    ref: str
    commit: Annotated[str, Meta(description="The last commit that it has in common with HEAD.")]
    affected: tuple[AffectedDocument, ...]


class PlanDocument(Model):
    """A plan."""

    format_version: str
    project: str
    destination: Literal["oci", "load", "stage", "push"]
    run: Annotated[str, Meta(description="The id under which its results get private names.")]
    blocked: bool
    images: tuple[ImageDocument, ...]
    builds: tuple[BuildDocument, ...]
    steps: tuple[StepDocument, ...]
    diagnostics: tuple[DiagnosticDocument, ...]
    summary: SummaryDocument
    estimate: Annotated[EstimateDocument | None, Meta(description="Null where nothing is built, or nobody was asked.")]
    since: Annotated[SinceDocument | None, Meta(description="Null without `--since`.")] = None


_DOCUMENT: Final = msgspec.json.Decoder(PlanDocument)


def build_document(
    plan: Plan,
    lowered: Lowered,
    diagnostics: tuple[Diagnostic, ...],
    estimate: Estimate | None = None,
    since: Since | None = None,
) -> PlanDocument:
    """The document of a plan; `diagnostics` are all findings of the command, with their places resolved."""
    keeps = kept_by_image(plan.builds)
    return PlanDocument(
        format_version=FORMAT_VERSION,
        project=plan.project,
        destination=plan.destination.value,
        run=plan.run,
        blocked=plan.blocked,
        images=tuple(_image(image, keeps.get(image.name, ())) for image in plan.images),
        builds=tuple(_build(build) for build in plan.builds),
        steps=tuple(_step(step, lowered.invocations, lowered.refusals) for step in plan.steps),
        diagnostics=tuple(map(diagnostic_document, diagnostics)),
        summary=summarise(plan, diagnostics),
        estimate=EstimateDocument(**msgspec.structs.asdict(estimate)) if estimate else None,
        since=_since(since),
    )


def render_document(document: PlanDocument) -> bytes:
    """The bytes of `--format json`, indented by two, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _since(since: Since | None) -> SinceDocument | None:
    """What `--since` found, as JSON."""
    if since is None:
        return None
    affected = (
        AffectedDocument(image=image.name, reasons=tuple(map(_reason, image.reasons))) for image in since.affected
    )
    return SinceDocument(ref=since.ref, commit=since.commit, affected=tuple(affected))


def parse_document(content: bytes) -> PlanDocument:
    """Read what `render_document` wrote.

    Raises:
        ValueError: it is no plan, or of another format.
    """
    try:
        document = _DOCUMENT.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a plan: {error}"
        raise ValueError(msg) from error
    if document.format_version != FORMAT_VERSION:
        msg = f"a plan of format {document.format_version[:20]}, expected {FORMAT_VERSION}"
        raise ValueError(msg)
    return document


def plan_schema() -> dict[str, object]:
    """The JSON Schema of the document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **msgspec.json.schema(PlanDocument),
    }


def summarise(plan: Plan, diagnostics: tuple[Diagnostic, ...]) -> SummaryDocument:
    """What the last line counts."""
    actions = Counter(build.action.value for build in plan.builds)
    severities = Counter(diagnostic.severity for diagnostic in diagnostics)
    tags = [tag for image in plan.images if image.publish for tag in image.tags]
    return SummaryDocument(
        images=len(plan.images),
        builds=len(plan.builds),
        build=actions["build"],
        blocked=actions["blocked"],
        emulated=sum(1 for build in plan.builds if build.placement and build.placement.mode.value == "emulated"),
        tags=len(tags),
        moving_tags=sum(tag.moving for tag in tags),
        waves=max((image.wave for image in plan.images), default=0),
        errors=severities[Severity.ERROR],
        warnings=severities[Severity.WARNING],
    )


def diagnostic_document(diagnostic: Diagnostic) -> DiagnosticDocument:
    """A finding as JSON."""
    span = diagnostic.place if isinstance(diagnostic.place, Span) else None
    return DiagnosticDocument(
        code=diagnostic.code,
        severity=diagnostic.severity.value,
        message=hide_userinfo(diagnostic.message),
        file=span.file if span else None,
        line=span.line if span else None,
        column=span.column if span else None,
        subject=hide_userinfo(diagnostic.subject) if diagnostic.subject else None,
        hints=tuple(map(hide_userinfo, diagnostic.hints)),
    )


def _image(image: PlannedImage, keeps: tuple[str, ...]) -> ImageDocument:
    return ImageDocument(
        name=image.name,
        repository=str(image.repository) if image.repository else None,
        action=image.action.value,
        wave=image.wave,
        platforms=tuple(map(str, image.platforms)),
        publish=image.publish,
        version=image.version,
        tags=tuple(
            TagDocument(
                ref=str(tag.reference) if tag.reference else f"{image.name}:{tag.name}",
                moving=tag.moving,
                current=_text(tag.current),
            )
            for tag in image.tags
        ),
        edges=tuple(
            EdgeDocument(image=edge.parent, kind=edge.kind.value, place=render_place(edge.place))
            for edge in image.edges
        ),
        test=_test(image.test),
        digest=_text(image.digest),
        keeps=keeps,
    )


def render_place(place: object) -> str | None:
    """`file:line:column` of a resolved place."""
    return f"{place.file}:{place.line}:{place.column}" if isinstance(place, Span) else None


def _test(test: PlatformTest | None) -> TestDocument | None:
    return TestDocument(run=masked_argv(test.run), platforms=tuple(map(str, test.platforms))) if test else None


def _text(digest: Digest | None) -> str | None:
    return digest


def _build(build: PlatformBuild) -> BuildDocument:
    placement = build.placement
    return BuildDocument(
        id=build.id,
        image=build.image,
        platform=str(build.platform),
        wave=build.wave,
        needs=build.needs,
        action=build.action.value,
        reasons=tuple(map(_reason, build.reasons)),
        placement=PlacementDocument(
            backend=placement.backend,
            node=placement.node,
            mode=placement.mode.value,
            others=placement.others,
            provisional=placement.provisional,
        )
        if placement
        else None,
        input=_text(build.inputs),
    )


def _reason(reason: Reason) -> ReasonDocument:
    return ReasonDocument(code=reason.code, message=reason.message, items=reason.items)


def _step(
    step: Step, invocations: Mapping[str, tuple[Invocation, ...]], refusals: Mapping[str, Refusal]
) -> StepDocument:
    children = tuple(map(masked_command, invocations.get(step.id, ())))
    refusal = refusals.get(step.id)
    return StepDocument(
        id=step.id,
        kind=str(step.__struct_config__.tag),
        image=step.image,
        needs=step.needs,
        argv=tuple(child.argv for child in children),
        environment=tuple(variable for child in children for variable in child.environment),
        tags=tuple(str(move.reference) for move in step.moves) if isinstance(step, PromoteStep) else (),
        because=step.because if isinstance(step, SolveStep) else "",
        refusal=hide_userinfo(refusal.message) if refusal else "",
    )

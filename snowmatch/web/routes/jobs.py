"""Long work: start it, watch it, stop it. It goes on when the page is closed."""

from __future__ import annotations

from dataclasses import asdict

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from snowmatch.views.plugins import extractor_names
from snowmatch.web.jobs import KINDS, list_jobs, read_job, read_output, start_job, stop_job
from snowmatch.web.live import SHOWN
from snowmatch.web.page import problem, read_form, render, state_of


def jobs(request: Request) -> Response:
    """All work, the newest first."""
    found = list_jobs(state_of(request).folder)
    busy = any(job.state == "running" for job in found)
    shown = ",".join(job.id + job.state for job in found[:SHOWN])  # as live.js writes what a stream tells
    return render(request, "jobs.html", jobs=found, busy=busy, kinds=KINDS, extractors=extractor_names(), shown=shown)


def progress(request: Request) -> Response:
    """The progress of one job, for a page that shows it."""
    job = read_job(state_of(request).folder, request.path_params["name"])
    return JSONResponse({**asdict(job), "left": job.left, "rate": job.rate})


async def start(request: Request) -> Response:
    """Start work."""
    form = await read_form(request)
    state, extractor = state_of(request), form.get("extractor", "")
    if extractor and extractor not in extractor_names():
        return problem(request, f"{extractor[:60]!r} is not an extractor")
    await run_in_threadpool(start_job, state.folder, form.get("kind", ""), state.decisions, extractor)
    return RedirectResponse("/jobs", 303)


async def stop(request: Request) -> Response:
    """Stop work; what is finished is kept."""
    await run_in_threadpool(stop_job, state_of(request).folder, request.path_params["name"])
    return RedirectResponse("/jobs", 303)


def output(request: Request) -> Response:
    """The table that a batch wrote."""
    folder = state_of(request).folder
    job = read_job(folder, request.path_params["name"])
    if job.kind != "batch" or job.state == "running":
        return problem(request, "this work has no table", 404)
    return FileResponse(read_output(folder, job.id), media_type="text/csv; charset=utf-8", filename=f"{job.id}.csv")


ROUTES = [
    Route("/jobs", jobs),
    Route("/jobs/start", start, methods=["POST"]),
    Route("/jobs/{name}/progress", progress),
    Route("/jobs/{name}/stop", stop, methods=["POST"]),
    Route("/jobs/{name}/table.csv", output),
]

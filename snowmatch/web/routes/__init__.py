"""All routes of the app, a file for each page."""

from snowmatch.web.routes import (
    agreement,
    changes,
    contradictions,
    count,
    doctor,
    home,
    individuals,
    photos,
    pictures,
    review,
    survey,
)

ROUTES = [*home.ROUTES, *photos.ROUTES, *pictures.ROUTES]
ROUTES += [*review.ROUTES, *individuals.ROUTES, *changes.ROUTES, *contradictions.ROUTES, *agreement.ROUTES]
ROUTES += [*doctor.ROUTES, *count.ROUTES, *survey.ROUTES]
# The largest body (bytes) of paths that accept more than a form
LIMITS: dict[str, int] = {}

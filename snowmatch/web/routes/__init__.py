"""All routes of the app, a file for each page."""

from snowmatch.review.uploads import LARGEST
from snowmatch.web.routes import (
    agreement,
    changes,
    contradictions,
    count,
    dashboard,
    doctor,
    downloads,
    events,
    home,
    identify,
    individuals,
    jobs,
    login,
    photos,
    pictures,
    review,
    survey,
)

ROUTES = [*home.ROUTES, *identify.ROUTES, *photos.ROUTES, *jobs.ROUTES, *pictures.ROUTES]
ROUTES += [*review.ROUTES, *individuals.ROUTES, *changes.ROUTES, *contradictions.ROUTES, *agreement.ROUTES]
ROUTES += [*doctor.ROUTES, *count.ROUTES, *dashboard.ROUTES, *survey.ROUTES, *downloads.ROUTES]
ROUTES += [*events.ROUTES, *login.ROUTES]
# The largest body (bytes) of paths that accept more than a form
LIMITS: dict[str, int] = {"/identify/photo": LARGEST}

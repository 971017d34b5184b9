"""All routes of the app, a file for each page."""

from snowmatch.review.uploads import LARGEST
from snowmatch.web.routes import home, identify, jobs, photos, pictures

ROUTES = [*home.ROUTES, *identify.ROUTES, *photos.ROUTES, *jobs.ROUTES, *pictures.ROUTES]
# The largest body (bytes) of paths that accept more than a form
LIMITS: dict[str, int] = {"/identify/photo": LARGEST}

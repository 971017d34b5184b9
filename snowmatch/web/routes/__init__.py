"""All routes of the app, a file for each page."""

from snowmatch.web.routes import home, photos, pictures

ROUTES = [*home.ROUTES, *photos.ROUTES, *pictures.ROUTES]
# The largest body (bytes) of paths that accept more than a form
LIMITS: dict[str, int] = {}

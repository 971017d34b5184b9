"""Deep models to compare with: networks that turn a photo into one vector, trained here or with published weights."""

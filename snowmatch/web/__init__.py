"""The app: pages in a browser on this computer. They hold no truth; they read the catalog and append decisions."""

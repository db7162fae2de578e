from pyramid.renderers import JSON
from pyramid.request import Request
from pyramid.response import Response

class CorniceRenderer(JSON):
    def render_errors(self, request: Request) -> Response: ...

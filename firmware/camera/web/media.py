"""What a request says that its body is."""


def media_type(request):
    """Without parameters and in lower case: both are as the client likes (RFC 9110 §8.3.1)."""
    return request.headers.get("content-type", "").partition(";")[0].strip(" \t").lower()

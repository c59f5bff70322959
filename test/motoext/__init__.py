"""What moto lacks and Parry's tests need, added when the server starts.

Each module patches one service and says what AWS does there. moto itself stays
as it is installed: `python -m motoext.server` is moto's server with these
additions, `python -m moto.server` is moto without them.
"""

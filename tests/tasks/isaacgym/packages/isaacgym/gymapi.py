"""The few types that an environment is put together from."""

DOMAIN_SIM = 2


class Vec3:
    """A point, m."""

    def __init__(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        self.x, self.y, self.z = x, y, z


class Transform:
    """A pose; here its position only."""

    def __init__(self) -> None:
        self.p = Vec3()


class AssetOptions:
    """How an asset is loaded."""

    def __init__(self) -> None:
        self.fix_base_link = False
        self.disable_gravity = False
        self.density = 1000.0

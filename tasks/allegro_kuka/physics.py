"""Settings of the simulated physics: time step, solver, drives, contacts."""

from __future__ import annotations

from dataclasses import dataclass

SELF_COLLISION = ("all", "tips", "none")


@dataclass(frozen=True)
class PhysicsCfg:
    """Time step, solver, drives and contacts.

    The defaults grasp and hold every object of the task; the drives of the hand keep the
    original's ratio kp/kv, closing speed and blocked torque with less chatter.
    """

    timestep_s: float = 1 / 120
    """One physics step, s (IsaacGymEnvs: dt 1/60 in 2 substeps)."""
    substeps: int = 2
    """Physics steps per control step."""
    iterations: int = 20
    """Most Newton iterations per physics step."""
    ls_iterations: int = 50
    """Most line search iterations per Newton iteration."""
    tolerance: float = 1e-6
    """Solver tolerance, MuJoCo's scaled cost."""
    impratio: float = 10.0
    """Stiffness of friction over normal; at 1 a held object creeps 7-13 mm in 5 s."""
    condim: int = 4
    """Contact dimensions of the object: 3 slides, 4 also resists twisting. All else has 3."""
    solimp_min: float = 0.95
    """Contact impedance at zero depth."""
    solimp_max: float = 0.99
    """Contact impedance at depth `solimp_width_m`."""
    solimp_width_m: float = 0.001
    """Depth over which the impedance rises, m."""
    friction: float = 1.0
    """Sliding friction, dimensionless (Isaac Gym default; the task sets none)."""
    torsional_friction_m: float = 0.005
    """Torsional friction of a contact, m (MuJoCo default)."""
    arm_kp: float = 40.0
    """Arm drive stiffness, N m/rad (IsaacGymEnvs `kukaStiffness`)."""
    arm_kv: float = 5.0
    """Arm drive damping, N m s/rad (`kukaDamping`)."""
    arm_torque_limit: float = 300.0
    """N m (`kukaEffort`)."""
    arm_armature: float = 0.0
    """Rotor inertia at the joint, kg m^2."""
    hand_kp: float = 8.0
    """Finger drive stiffness, N m/rad; the original has 40."""
    hand_kv: float = 1.0
    """Finger drive damping, N m s/rad; the original has 5."""
    hand_torque_limit: float = 0.35
    """N m (`allegroEffort`)."""
    hand_armature: float = 0.004
    """kg m^2; identified rotor inertias .0035-.0043 (header of the robot's URDF)."""
    self_collision: str = "all"
    """Contacts within a hand: `all` fingers with each other and the palm, only their `tips`
    (a fifth faster), `none`."""


PHYSICS_PRESETS: dict[str, PhysicsCfg] = {
    "settled": PhysicsCfg(),
    "parity": PhysicsCfg(timestep_s=1 / 240, substeps=4, hand_kp=40.0, hand_kv=5.0),
}
"""`parity` has the original's finger gains, at a time step that can carry them."""

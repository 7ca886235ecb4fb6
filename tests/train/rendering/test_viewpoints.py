"""Turned viewpoints: poses, the warp of one picture into another against closed forms, the consistency loss."""

import math

import pytest
import torch

from dofkit.train.rendering.viewpoints import (
    OCCLUDED,
    Camera,
    Sight,
    disparity_of,
    drawn_views,
    found_in,
    inconsistency,
    projected,
    rotations,
    sampled,
    turned,
    unprojected,
)

SIDE = 48
CAMERA = Camera()
FRONT = torch.zeros(1, 2, dtype=torch.float64)


def pose(azimuth: float, elevation: float = 0.0) -> torch.Tensor:
    """[1, 2] from degrees."""
    return torch.deg2rad(torch.tensor([[azimuth, elevation]], dtype=torch.float64))


def hills(side: int = SIDE, seed: int = 0) -> torch.Tensor:
    """A smooth disparity map [1, 1, S, S] from 0.6 to 1.4."""
    axis = torch.linspace(0, 2, side, dtype=torch.float64)
    return (1 + 0.4 * torch.sin(axis + seed)[:, None] * torch.cos(1.5 * axis)[None])[None, None]


def pixel_grid(side: int = SIDE) -> torch.Tensor:
    axis = (torch.arange(side, dtype=torch.float64) + 0.5) * (2 / side) - 1
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij")[::-1], dim=-1)[None]


def plane_from(view: torch.Tensor, distance: float) -> Sight:
    """What the camera sees of an endless smooth pattern on a plane `distance` before the frontal camera: each pixel's
    ray is met with the plane."""
    rays = unprojected(torch.ones(1, 1, SIDE, SIDE, dtype=torch.float64), CAMERA)
    back = rotations(view).mT
    start = back @ torch.tensor([0, 0, -1.0], dtype=torch.float64)[:, None]  # the camera, from the scene's centre
    rays = torch.einsum("nij,njhw->nihw", back, rays)
    depth = (distance - 1 - start[:, 2, :, None]) / rays[:, 2]
    x, y = (start[:, i, :, None] + depth * rays[:, i] for i in (0, 1))
    waves = [torch.sin(9 * x + 4 * y), torch.cos(7 * y - 3 * x), torch.sin(6 * x + 1) * torch.cos(8 * y)]
    return Sight(0.5 + 0.4 * torch.stack(waves, dim=1), 1 / depth[:, None], view)


def test_poses_stay_within_their_reach_and_fill_it():
    views = drawn_views(2000, (10.0, 3.0), torch.Generator().manual_seed(0)).rad2deg()
    assert views.abs().amax(0).tolist() == pytest.approx([10, 3], rel=0.01)
    assert (views.abs().amax(0) <= torch.tensor([10, 3]) + 1e-4).all()
    assert views.mean(0).abs().max() < 0.3


def test_no_reach_leaves_the_frontal_view():
    assert not drawn_views(5, (0.0, 0.0), torch.Generator()).any()


def test_rotations_are_rigid_and_move_the_camera_right_and_up():
    turn = rotations(pose(20, 10))
    assert torch.allclose(turn @ turn.mT, torch.eye(3, dtype=torch.float64))
    assert turn.det().item() == pytest.approx(1)
    camera = turn[0].T @ torch.tensor([0, 0, -1.0], dtype=torch.float64)
    right, down, away = camera.tolist()
    assert right > 0 > down  # y points down
    assert away < 0


def test_the_same_pose_sees_every_point_where_it_is():
    found = found_in(hills(), pose(7, -3), pose(7, -3), CAMERA)
    assert torch.allclose(found.grid, pixel_grid(), atol=1e-12)
    assert torch.allclose(found.disparity, hills())
    picture = torch.rand(1, 3, SIDE, SIDE, dtype=torch.float64)
    assert torch.allclose(sampled(picture, found.grid), picture)


def test_a_frontal_plane_moves_by_the_closed_form_homography():
    angle, distance, f = math.radians(12), 1.3, 2 * CAMERA.focal  # in units of half a side
    found = found_in(torch.full((1, 1, SIDE, SIDE), 1 / distance, dtype=torch.float64), FRONT, pose(12), CAMERA)
    x, y = pixel_grid()[0].unbind(-1)
    # H = K (R + (t − R t) nᵀ / distance) K⁻¹ with t = n = (0, 0, 1)
    turn = torch.tensor([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
    turn = turn.double()
    t = torch.tensor([0, 0, 1.0], dtype=torch.float64)
    lens = torch.diag(torch.tensor([f, f, 1.0], dtype=torch.float64))
    homography = lens @ (turn + torch.outer(t - turn @ t, t) / distance) @ lens.inverse()
    a, b, c = torch.einsum("ij,jhw->ihw", homography, torch.stack([x, y, torch.ones_like(x)]))
    assert torch.allclose(found.grid[0], torch.stack([a / c, b / c], dim=-1), atol=1e-12)
    assert torch.allclose(found.disparity[0, 0], 1 / (distance * c), atol=1e-12)


def test_what_is_in_focus_at_the_centre_stays_there_and_nearer_points_move_against_the_camera():
    for share, side in ((0.0, 0), (1.0, -1), (-1.0, 1)):
        disparity = disparity_of(torch.full((1, 1, 3, 3), share, dtype=torch.float64))
        moved = found_in(disparity, FRONT, pose(5), CAMERA).grid[0, 1, 1, 0].item()
        assert moved == pytest.approx(0, abs=1e-12) if side == 0 else moved * side > 0.01


def test_a_turn_and_the_turn_back_leave_every_point():
    first, second = rotations(pose(9, 4)), rotations(pose(-6, 2))
    turn = second @ first.mT
    points = unprojected(hills(), CAMERA)
    back = projected(turned(turned(points, turn), turn.mT), CAMERA)
    assert torch.allclose(back.grid, pixel_grid(), atol=1e-12)
    assert torch.allclose(back.disparity, hills())


def test_gradients_of_the_warp_reach_the_depth():
    picture = hills(6, seed=1)
    disparity = hills(6).requires_grad_()

    def seen(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = found_in(values, FRONT, pose(8, 3), CAMERA)
        return sampled(picture, found.grid), found.disparity

    assert torch.autograd.gradcheck(seen, disparity, eps=1e-7, atol=1e-5)


def test_gradients_of_the_loss_reach_both_depths_and_both_pictures():
    def loss(image: torch.Tensor, disparity: torch.Tensor, other: torch.Tensor, behind: torch.Tensor) -> torch.Tensor:
        return inconsistency(Sight(image, disparity, pose(-5)), Sight(other, behind, pose(5, 2)))

    inputs = [(hills(6, seed) + 0.01 * seed).requires_grad_() for seed in range(4)]
    inputs[3] = (hills(6) + 0.02).requires_grad_()  # alike enough that nothing hides
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("distance", [0.8, 1.0, 1.5])
def test_one_scene_from_two_poses_is_consistent(distance):
    assert inconsistency(plane_from(pose(-6, 2), distance), plane_from(pose(5, -3), distance)) < 2e-3


def test_a_wrong_depth_is_inconsistent():
    first, second = plane_from(pose(-6, 2), 1.3), plane_from(pose(5, -3), 1.3)
    right = inconsistency(first, second)
    errors = []
    for shift in (0.03, 0.06, 0.09):
        one, other = (Sight(s.image, s.disparity + shift, s.view) for s in (first, second))
        errors.append(inconsistency(one, other).item())
    assert errors == sorted(errors)
    assert errors[0] > 5 * right
    assert inconsistency(first, Sight(second.image, first.disparity, second.view)) > 5 * right  # not turned with it


def test_points_that_the_other_picture_hides_do_not_count():
    """Before a far plane stands a near one, the left half in one picture; seen from the right it hides more."""
    near, far = 1 / 0.7, 1 / 1.9
    half = (torch.arange(SIDE) < SIDE // 2).double().expand(1, 1, SIDE, SIDE)
    disparity = far + (near - far) * half
    first = Sight(half.expand(-1, 3, -1, -1), disparity, FRONT)
    found = found_in(disparity, FRONT, pose(-8), CAMERA)
    edge = found.grid[0, SIDE // 2, SIDE // 2 - 1, 0]  # the near plane's last point
    covered = (pixel_grid()[..., 0] <= edge).double()[:, None]
    there = far + (near - far) * covered
    second = Sight(covered.expand(-1, 3, -1, -1), there, pose(-8))
    hidden = (found.disparity < sampled(there, found.grid) - OCCLUDED).any()
    assert hidden
    assert inconsistency(first, second) < 0.06  # the planes' tilt and the edge's own pixels

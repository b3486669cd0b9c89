"""`bitreid crops`: people in a video, by somebody's boxes, to crops or into a gallery."""

import argparse
from pathlib import Path

from bitreid.commands import left_out

HELP = "cut people out of a video by the boxes of a detector or tracker; into a gallery as tracklets"
EXAMPLES = (
    "bitreid crops entrance.mp4 --boxes entrance.txt --out crops --camera 1",
    "bitreid crops entrance.mp4 --boxes entrance.txt --gallery people.gallery --model runs/people/artifact "
    "--camera entrance --start 2026-11-30T08:15:00+01:00",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid crops`."""
    from bitreid.commands.options import add_encoding

    parser.add_argument("video", type=Path, metavar="VIDEO", help="a video file, or a folder of its frames as pictures")
    parser.add_argument(
        "--boxes",
        type=Path,
        required=True,
        metavar="FILE",
        help="MOT-challenge text (gt.txt, det.txt, what trackers write), or COCO .json",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the crops here, with a table of them")
    parser.add_argument(
        "--gallery", metavar="PLACE", help="add each tracklet to this gallery: one code of all its crops"
    )
    parser.add_argument("--model", type=Path, metavar="MODEL", help="encodes the crops for the gallery")
    add_encoding(parser)
    parser.add_argument(
        "--camera", metavar="NUMBER", help="the camera's number, or its name, which --gallery keeps (default: unknown)"
    )
    parser.add_argument(
        "--start",
        metavar="TIME",
        help="when the first frame was taken, in ISO 8601; UTC where it names no zone (default: times are frames)",
    )
    parser.add_argument("--fps", type=float, metavar="N", help="frames a second (default: what the video says)")
    parser.add_argument(
        "--first-frame",
        type=int,
        metavar="N",
        help="the first frame's number in the boxes (default: 1 in MOT-challenge; in COCO 0 or 1, as the file has it)",
    )
    parser.add_argument(
        "--min-confidence", type=float, metavar="C", help="leave out boxes that are less certain (default: take all)"
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="take each N-th box of a tracklet (default %(default)s)"
    )
    parser.add_argument(
        "--name",
        help="what the video is called in the gallery: ids are NAME/TRACK (default: its file's, without ending)",
    )
    parser.add_argument(
        "--suffix", choices=["jpg", "png"], default="jpg", help="kind of the crops' files (default %(default)s)"
    )
    left_out.add_report(parser, "boxes")
    parser.add_argument(
        "--actor", metavar="NAME", help="who does this, for the gallery's audit log (default: your login)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Cut the crops out, write or add them, and say how many there are."""
    from bitreid.commands.console import console_of, progress_of, say
    from bitreid.commands.gallery.action import actor_of, moment_of
    from bitreid.commands.options import loader_of
    from bitreid.data.boxes import read_boxes
    from bitreid.data.files import check_outputs
    from bitreid.data.manifest import UNKNOWN
    from bitreid.encoding.crops import TABLE, Shot, crop_name, save_crops
    from bitreid.errors import SettingsError
    from bitreid.gallery import open_gallery
    from bitreid.gallery.ingest import Added
    from bitreid.gallery.tracklets import add_video
    from bitreid.text import printable

    if arguments.out is None and arguments.gallery is None:
        raise SettingsError("expected --out FOLDER to write crops to, or --gallery PLACE to add them to, got neither")
    check_outputs([arguments.report], [arguments.video, arguments.boxes, arguments.model])
    camera: int | str = UNKNOWN if arguments.camera is None else arguments.camera
    if isinstance(camera, str) and camera.isascii() and camera.isdecimal() and len(camera) < 19:
        camera = int(camera)
    shot = Shot(camera, None if arguments.start is None else moment_of(arguments.start), arguments.fps)
    load = loader_of(arguments) if arguments.gallery is not None else None
    boxes = read_boxes(arguments.boxes, arguments.first_frame, arguments.min_confidence).every(arguments.every)
    console = console_of()
    encoder = None if load is None else load()
    findings, crops_there = None, {}
    if arguments.out is not None and encoder is not None and (arguments.out / TABLE).is_file():
        say(console, f"crops are there already: {printable(str(arguments.out))}")
    elif arguments.out is not None:
        with progress_of(console, "writing crops") as progress:
            crops = save_crops(arguments.video, boxes, arguments.out, shot, suffix=arguments.suffix, progress=progress)
        findings = crops.findings
        say(console, f"{len(crops.manifest)} crops: {printable(str(arguments.out))}")
    if arguments.out is not None:
        paths = ((row, arguments.out / f"{crop_name(boxes, row)}.{arguments.suffix}") for row in range(len(boxes)))
        crops_there = {row: path for row, path in paths if path.is_file()}
    if encoder is not None:
        added = Added()
        name = arguments.name or arguments.video.resolve().stem
        with open_gallery(arguments.gallery, actor=actor_of(arguments)) as gallery:
            try:
                with progress_of(console, "adding") as progress:
                    add_video(
                        gallery,
                        encoder,
                        arguments.video,
                        boxes,
                        shot,
                        name=name,
                        crops=crops_there,
                        root=Path("/") if "://" in arguments.gallery else Path(arguments.gallery).parent,
                        progress=progress,
                        added=added,
                    )
            finally:
                say(console, f"{added.new} items added, {added.there} were there already")
        findings = findings or added.findings
    assert findings is not None, "crops were written or added"
    return left_out.tell(findings, arguments.report, ("box", "boxes"))

"""The folder that a point leaves behind: plain files, and a manifest that holds the sha256 of each.

    bundle = Bundle(folder)                  where each part lies: bundle.library, bundle.timing, …
    seal(folder, point=…, stages=…)          when all is written: the manifest, last and in one step
    verify(folder) -> Bundle                 before anything is read: UserError names the file that changed
    trusted(folder, signers) -> Bundle       likewise, and signed where signers are named
    sign(Bundle, key), signer(Bundle, file)  who vouches for it: see dlas.bundle.signing

Nothing in a bundle is a pickle, and verifying opens no path that the manifest names: what lies in the folder
is compared with what the manifest lists. A seal tells of accidents. It does not tell who made the bundle:
whoever changes a file can seal it anew. A signature does.
"""

from dlas.bundle.layout import MANIFEST, SIGNATURE, Bundle
from dlas.bundle.sealing import seal, verify
from dlas.bundle.signing import sign, signer, trusted

__all__ = ["MANIFEST", "SIGNATURE", "Bundle", "seal", "sign", "signer", "trusted", "verify"]

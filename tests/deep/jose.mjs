// The npm package jose as somebody else's word on our JWS, thumbprints and bearer tokens.
//
//   jose.mjs entry FILE                     verify a directory entry with the key in it; its payload and thumbprint
//   jose.mjs bearer AUDIENCE <TOKEN         verify a bearer token; its claims and the SHA-256 of its key's point
//   jose.mjs make KEY.pem ISS AUD AGE ALG   a bearer token, AGE seconds old
import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const jose = createRequire(process.env.JOSE + "/")("jose");
const [what, ...args] = process.argv.slice(2);
const point = (jwk) =>
  Buffer.concat([Buffer.from([4]), Buffer.from(jwk.x, "base64url"), Buffer.from(jwk.y, "base64url")]);

if (what === "entry") {
  const jws = JSON.parse(readFileSync(args[0], "utf8"));
  const { payload, protectedHeader } = await jose.flattenedVerify(jws, jose.EmbeddedJWK, { algorithms: ["ES256"] });
  console.log(Buffer.from(payload).toString("utf8"));
  console.log(await jose.calculateJwkThumbprint(protectedHeader.jwk));
} else if (what === "bearer") {
  const token = readFileSync(0, "utf8").trim();
  const { payload, protectedHeader } = await jose.jwtVerify(token, jose.EmbeddedJWK, {
    algorithms: ["ES256"],
    audience: args[0],
    maxTokenAge: "5m",
  });
  console.log(JSON.stringify(payload));
  console.log(createHash("sha256").update(point(protectedHeader.jwk)).digest("hex"));
} else if (what === "make") {
  const [file, iss, aud, age, alg] = args;
  const key = createPrivateKey(readFileSync(file));
  const { kty, crv, x, y } = createPublicKey(key).export({ format: "jwk" });
  const now = Math.floor(Date.now() / 1000);
  const header = { alg, jwk: { kty, crv, x, y } };
  const signer = new jose.SignJWT({ iss, aud, iat: now - Number(age) }).setProtectedHeader(header);
  console.log(await signer.sign(alg === "HS256" ? point({ x, y }) : key));
}

// What an app imports.

export { embeddedDisparity } from "./embedded_depth.js";
export { LiteRtBackend } from "./litert.js";
export { OnnxBackend } from "./onnx.js";
export { Picture } from "./picture.js";
export { Portrait, Scene } from "./portrait.js";
export { PreviewGraph } from "./preview.js";
export { StudioClient } from "./client.js";
export { Studio } from "./studio.js";
export { hasGpu, openPortrait, threadsHere } from "./bundle.js";

// Plays fragmented MP4 from a WebSocket by Media Source Extensions, and stays near the live edge.
//
// The server sends the MIME type as text, then the init segment, then a fragment for each frame; the first two again
// whenever the stream's parameters change.

const NEAR_S = 0.1; // behind what has come: where playing begins
const TOO_FAR_S = 1.0; // then it jumps
const CATCH_UP_S = 0.3; // then it plays a little faster
const TOO_NEAR_S = 0.05; // then a little slower, lest it runs dry
const KEEP_S = 20; // of what was played
const FOLLOW_MS = 50;
const SEEK_MS = 1000; // what is not found by then is not there
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;
const END_OF_FILE = "the end of the file";

export class Player {
  constructor(video, say) {
    this.video = video;
    this.say = say;
    this.timer = setInterval(() => this.follow(), FOLLOW_MS);
    video.addEventListener("seeking", () => { this.sought = performance.now(); });
    video.addEventListener("error", () => this.retry(video.error ? video.error.message : "playing failed"));
  }

  open(url) {
    this.stop();
    this.url = url;
    this.delay = FIRST_RETRY_MS;
    this.connect();
  }

  stop() {
    clearTimeout(this.retrying);
    this.retrying = null;
    this.url = null;
    this.disconnect();
  }

  /** By how many seconds the picture is behind what has come. */
  get lag() {
    const { buffered, currentTime } = this.video;
    return buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
  }

  connect() {
    this.retrying = null;
    this.say("connecting");
    const socket = this.socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.begin(data) : this.push(data));
    socket.onclose = ({ code, reason }) => {
      if (code === 1000 && reason === END_OF_FILE) this.say("ended");
      else this.retry(reason || "no connection");
    };
  }

  disconnect() {
    if (this.socket) {
      this.socket.onmessage = this.socket.onclose = null;
      this.socket.close();
    }
    this.socket = this.buffer = this.source = this.mime = null;
    this.waiting = [];
  }

  retry(reason) {
    if (this.url === null || this.retrying) return;
    this.disconnect();
    this.say(`${reason}; trying again`);
    this.retrying = setTimeout(() => this.connect(), this.delay);
    this.delay = Math.min(2 * this.delay, LAST_RETRY_MS);
  }

  begin(mime) {
    if (mime === this.mime) return; // only parameter sets have changed: the next init segment has them
    const Source = window.MediaSource || window.ManagedMediaSource;
    if (!Source || !Source.isTypeSupported(mime)) {
      this.stop();
      this.say(`this browser cannot play ${mime}`);
      return;
    }
    this.mime = mime;
    this.waiting = [];
    this.buffer = null;
    const source = this.source = new Source();
    source.addEventListener("sourceopen", () => {
      if (source !== this.source) return;
      URL.revokeObjectURL(this.video.src);
      this.buffer = source.addSourceBuffer(mime);
      this.buffer.addEventListener("updateend", () => this.pump());
      this.pump();
    }, { once: true });
    this.video.disableRemotePlayback = true;
    this.video.src = URL.createObjectURL(source);
    this.video.play().catch(() => this.say("press play"));
  }

  push(data) {
    this.waiting.push(data);
    this.pump();
  }

  pump() {
    const { buffer, video, waiting } = this;
    if (!buffer || buffer.updating || this.source.readyState !== "open") return;
    try {
      const start = buffer.buffered.length ? buffer.buffered.start(0) : 0;
      if (waiting.length) {
        buffer.appendBuffer(waiting.length === 1 ? waiting[0] : join(waiting));
        this.waiting = [];
      } else if (video.currentTime - start > 2 * KEEP_S) {
        buffer.remove(start, video.currentTime - KEEP_S);
      }
    } catch (error) {
      if (error.name === "QuotaExceededError" && video.currentTime > 1) buffer.remove(0, video.currentTime - 1);
      else this.retry(error.message);
    }
  }

  follow() {
    const { video } = this, { buffered } = video;
    if (!this.buffer || !buffered.length || video.paused) return;
    const last = buffered.length - 1, end = buffered.end(last), lag = end - video.currentTime;
    const lost = video.seeking && performance.now() - this.sought > SEEK_MS;
    if (video.seeking && !lost) return;
    if (lost || lag > TOO_FAR_S || lag < -TOO_FAR_S || video.currentTime < buffered.start(0)) {
      video.currentTime = Math.max(buffered.start(last), end - NEAR_S);
    } else if (last && video.readyState < 3 && video.currentTime < buffered.start(last)) {
      video.currentTime = buffered.start(last); // over a gap
    } else {
      video.playbackRate = lag > 2 * CATCH_UP_S ? 1.5 : lag > CATCH_UP_S ? 1.1 : lag < TOO_NEAR_S ? 0.95 : 1;
    }
    if (video.readyState < 3) {
      this.say("waiting for the stream");
    } else {
      this.delay = FIRST_RETRY_MS;
      this.say(`${video.videoWidth ? `${video.videoWidth}×${video.videoHeight}, ` : ""}${Math.round(1000 * lag)} ms buffered`);
    }
  }
}

function join(parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.byteLength, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part), position);
    position += part.byteLength;
  }
  return whole;
}

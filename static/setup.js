// The "test camera" button of the set-up page: shows the picture, or says what is in the way.
(() => {
  "use strict";
  const area = document.querySelector("[data-camera-test]");
  if (!area) return;
  const button = area.querySelector("button");
  const answer = area.querySelector("[data-camera-answer]");
  const video = area.querySelector("video");
  let stream = null;

  const stop = () => {
    if (stream) stream.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    video.hidden = true;
  };

  const say = (name) => {
    answer.textContent = area.dataset[name];
    answer.dataset.cameraAnswer = name;
  };

  const test = async () => {
    stop();
    // Browsers hide the camera altogether where they do not trust the page.
    if (!window.isSecureContext || !navigator.mediaDevices) return say("insecure");
    say("asking");
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: { ideal: "environment" } } });
      video.srcObject = stream;
      video.hidden = false;
      await video.play();
      say("works");
    } catch (error) {
      stop();
      say(error.name === "NotAllowedError" ? "refused" : error.name === "NotFoundError" ? "none" : "busy");
    }
  };

  button.addEventListener("click", test);
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); });
})();

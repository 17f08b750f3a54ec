// Texts on the page with less contrast than WCAG 2.2 asks for (1.4.3, level AA): 4.5, or 3 for large ones.
(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });

  /** Red, green, blue and alpha, 0 to 255, of any colour of CSS. */
  function pixel(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  }

  function over([r, g, b, a], below) {
    return [r, g, b].map((value, i) => (value * a + below[i] * (255 - a)) / 255);
  }

  /** What is behind an element: its own background over those of all around it. */
  function behind(element) {
    const around = [];
    for (let each = element; each; each = each.parentElement) around.unshift(each);
    return around.reduce(
      (below, each) => over(pixel(getComputedStyle(each).backgroundColor), below),
      [255, 255, 255],
    );
  }

  /** Relative luminance. */
  function light(rgb) {
    const [r, g, b] = rgb
      .map(value => value / 255)
      .map(value => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(one, other) {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  }

  const hasText = element =>
    [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());

  const faint = [];
  for (const element of document.body.querySelectorAll('*')) {
    if (!hasText(element) || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const below = behind(element);
    const found = contrast(over(pixel(style.color), below), below);
    const px = Number.parseFloat(style.fontSize);
    const large = px >= 24 || (px >= 18.66 && Number(style.fontWeight) >= 700);
    if (found < (large ? 3 : 4.5))
      faint.push(
        `${found.toFixed(2)}: ${element.className} ${element.textContent.trim().slice(0, 40)}`,
      );
  }
  return faint;
})();
